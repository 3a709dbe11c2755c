"""Lets ``python <this folder> …`` run the command line from a plain clone, as ComfyUI users have it."""

from echomimic.__main__ import main

main()
