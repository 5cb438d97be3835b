"""The cases, by subject. ``cases.py`` beside this package puts them together."""
