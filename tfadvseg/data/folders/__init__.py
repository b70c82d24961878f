"""Folders and tables to cases: images, masks, patients, and their split."""
