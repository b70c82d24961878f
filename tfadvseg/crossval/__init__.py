"""Cross-validation: folds of patients, the plan of the runs, and the sweep that makes them."""
