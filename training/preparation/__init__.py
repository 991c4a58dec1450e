"""From videos to sequences of aligned faces, through the live stages."""
