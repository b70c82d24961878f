"""Where to label next: unlabelled images by what their labels would teach."""
