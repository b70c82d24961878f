"""From files to batches: reading, cases and splits, preprocessing, augmentation, pipelines."""
