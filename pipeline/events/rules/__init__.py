"""What an event starts, and when: rules asked, tiles and periods of a scene, floats of a file."""
