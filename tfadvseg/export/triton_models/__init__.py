"""Models for Triton's Python backend: each file is copied into a repository as its `model.py`.

They know Triton and what each imports, and nothing of this package.
"""
