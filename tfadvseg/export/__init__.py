"""From a run to models that are served without this package."""
