"""Pictures, planes, decoding, encoding and drawing: what files and live video share."""
