"""The sources of live pictures: cameras, RTSP and HTTP, GStreamer, a synthetic camera, and files at their own pace.

`opening.open_live_source` reads what a user types. A live source that ends is a fault: it is opened again, with growing
pauses, and says so in its status. No name, message or status shows a password.
"""
