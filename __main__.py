"""Lets ``python <this folder> …`` run the command line from a plain clone, as ComfyUI users have it."""

from echomimic.cli import main

main()
