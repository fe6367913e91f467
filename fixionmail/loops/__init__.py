"""The loops that plan and send: any number of copies of each, one leader. A tick is a function; the runner runs it."""
