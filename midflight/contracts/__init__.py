"""Messages between starter, workflows and activities: frozen, small, only ever added to.

They carry names, counts and positions, never documents, values of keys or secrets.
"""
