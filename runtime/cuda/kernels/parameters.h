// What each kernel is told: one plain struct per kernel, passed by value, mirrored by parameters.py.
#pragma once

struct PreprocessParams {
    const unsigned char* source;    // first byte of the frame: packed pixels, or the Y plane
    const unsigned char* chroma;    // first byte of NV12's UV plane or I420's U plane; unused for packed pixels
    const unsigned char* chroma_v;  // first byte of I420's V plane; unused for all else
    unsigned char* target;          // uint8 [network_height,network_width,3] RGB, contiguous
    unsigned int* area;             // set to 0 for the mask kernel that follows; may be null
    int pitch_bytes;                // from one row of `source` to the next
    int chroma_pitch_bytes;         // from one row of `chroma` (and of `chroma_v`) to the next
    int left, top;                // window of the frame, pixels
    int width, height;
    int network_width, network_height;
    int luma_offset;  // Y, U, V to RGB, factors in 2^-21: see yuv.h
    int luma_scale;
    int red_from_v, green_from_u, green_from_v, blue_from_u;
};
static_assert(sizeof(PreprocessParams) == 96, "mirrored by parameters.py");

struct MaskParams {
    const float* probability;  // float32 [channels,pixels]
    unsigned char* mask;       // uint8 [pixels]
    unsigned int* area;        // foreground pixels are added to it; may be null
    int channels;
    int pixels;
    float threshold;  // for one channel
    int reserved;
};
static_assert(sizeof(MaskParams) == 40, "mirrored by parameters.py");

struct MapParams {
    const float* probability;  // float32 [values]
    unsigned char* map;        // uint8 [values]
    int values;
    int reserved;
};
static_assert(sizeof(MapParams) == 24, "mirrored by parameters.py");
