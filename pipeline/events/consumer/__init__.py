"""From queue and inbox to work that is done: polled, routed, begun side by side, held until its end."""
