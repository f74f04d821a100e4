"""The networks: each a plain nn.Module that takes normalised float32 [N,3,H,W] and gives logits [N,C,H,W]."""
