"""Side-by-side measurements of tornadoc, Tornado and a C floor.  See README.md for how to run and how to read them."""
