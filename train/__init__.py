"""Training: models, losses, augmentation, the loop. Needs the extra `train`; nothing an edge box runs imports it."""
