"""A window that shows the picture and the answer; Tk comes with Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from PIL import Image

from recyclenet.core.images import ImageArray
from recyclenet.errors import RecycleNetError

# Largest size of the picture, pixels.
_LARGEST = (960, 720)
_KEYS = {"<Escape>": "quit", "q": "quit", "<space>": "capture"}


class NoWindow(RecycleNetError):  # noqa: N818 - watching goes on without it
    """No window can be opened."""


class Window:
    """Shows frames with lines of text below; Esc and q quit, space captures.

    Args:
        title: of the window.

    Raises:
        NoWindow: there is no display, or Python lacks Tk.
    """

    def __init__(self, title: str) -> None:
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            raise NoWindow("there is no display")
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError:
            raise NoWindow("this Python has no Tk") from None
        try:
            self._root = root = tkinter.Tk(className="recyclenet")
        except tkinter.TclError:
            raise NoWindow("the display cannot be opened") from None
        self._make_photo = ImageTk.PhotoImage
        self._errors = tkinter.TclError
        root.title(title)
        root.configure(background="black")
        root.protocol("WM_DELETE_WINDOW", partial(self._note, "quit"))
        for key, action in _KEYS.items():
            root.bind(key, partial(self._note, action))
        self._picture = tkinter.Label(root, background="black", borderwidth=0)
        self._picture.pack()
        self._text = tkinter.Label(
            root,
            background="black",
            foreground="white",
            font=("TkDefaultFont", 16),
            justify="left",
            anchor="w",
            padx=12,
            pady=8,
        )
        self._text.pack(fill="x")
        self._photo: Any = None
        self._asked: set[str] = set()

    def show(self, image: ImageArray | None, lines: Sequence[str]) -> set[str]:
        """Show a frame, or keep the last one, and text.

        Returns:
            What the user asked for since the last call: "quit", "capture".
        """
        try:
            if image is not None:
                picture = Image.fromarray(image)
                picture.thumbnail(_LARGEST, Image.Resampling.BILINEAR)
                self._photo = self._make_photo(picture, master=self._root)
                self._picture.configure(image=self._photo)
            self._text.configure(text="\n".join(lines))
            self._root.update()
        except self._errors:  # the display is gone
            return {"quit"}
        asked, self._asked = self._asked, set()
        return asked

    def close(self) -> None:
        """Close the window."""
        try:
            self._photo = None
            self._root.destroy()
        except self._errors:
            pass

    def _note(self, action: str, event: object = None) -> None:
        self._asked.add(action)
