"""What a video says about itself: tags, XMP and AIGC fields, a visible label, a signature;
and reading them back."""
