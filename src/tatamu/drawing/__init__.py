"""Pictures of what a convolution does, from its geometry: scenes, drawings, and their forms."""
