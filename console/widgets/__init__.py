"""What the console's views are made of. Widgets get data, send messages, and do no I/O."""
