"""May this engine ship, by what it does to video: lesions found and missed, false activations, flicker, delay.

Both networks see the frames as `run` gives them; what is measured on single images lives in `verdict/`.
"""
