"""Where photos come from: published data sets, search engines, lists of addresses."""
