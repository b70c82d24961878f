"""Pages of HTML, tables and charts: of a sweep, of a single run, of a data set."""
