"""The page at `/`, where people drop an image and see what a served model finds in it."""
