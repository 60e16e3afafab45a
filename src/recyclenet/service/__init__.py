"""The HTTP service: classify, explain and collect feedback. Needs the extra `serve`."""
