"""Pictures of what a convolution does, from its geometry: scenes, drawings, and the forms they are written in."""
