"""Files of every format to arrays and back; `data.io` chooses among them."""
