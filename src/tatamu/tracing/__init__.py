"""A whole network, layer by layer: sizes, receptive fields, work; where it breaks, and what would mend it."""
