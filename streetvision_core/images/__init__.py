"""Images in and out: decoding with limits, versioned preprocessing, the validators' image eras.

Import the modules themselves; this face stays free of Pillow and OpenCV so that importing the package is light.
"""
