"""Theme of the page: Kilas's own blue on quiet grays, in fonts of the visitor's system."""

from __future__ import annotations

import gradio as gr

from realtime.drawing.palette import BLUE, Rgb, css_colour

# Plain names: Gradio's default fonts would be asked from another host.
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

SLATE: Rgb = (87, 96, 106)
"""The faint ink of reports, from which all grays are mixed."""

TINTS = {50: 0.95, 100: 0.88, 200: 0.75, 300: 0.58, 400: 0.32, 500: 0.0}
"""Share of white in Gradio's lighter shades of a colour."""

SHADES = {600: 0.16, 700: 0.32, 800: 0.52, 900: 0.7, 950: 0.82}
"""Share of black in Gradio's darker shades of a colour."""


def theme() -> gr.themes.Base:
    """Return the Gradio theme of the page, for light and dark mode."""
    return gr.themes.Base(
        primary_hue=_hue("kilas-blue", BLUE),
        secondary_hue=_hue("kilas-blue", BLUE),
        neutral_hue=_hue("kilas-gray", SLATE),
        font=FONTS,
        font_mono=MONO_FONTS,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f6f8fa",
        body_background_fill_dark="#12161b",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1a2027",
        background_fill_secondary="#f6f8fa",
        background_fill_secondary_dark="#12161b",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a2027",
        body_text_color="#1f2328",
        body_text_color_dark="#e6e9ec",
        body_text_color_subdued="#57606a",
        body_text_color_subdued_dark="#a3adb8",
        block_info_text_color="#57606a",
        block_info_text_color_dark="#a3adb8",
        block_label_text_color="#57606a",
        block_label_text_color_dark="#a3adb8",
        block_title_text_color="#1f2328",
        block_title_text_color_dark="#e6e9ec",
        border_color_primary="#d8dee4",
        border_color_primary_dark="#2f3842",
        block_border_width="1px",
        button_primary_background_fill="#005a8d",
        button_primary_background_fill_hover="#00486f",
        button_primary_background_fill_dark="#0072b2",
        button_primary_background_fill_hover_dark="#0c78b6",
        button_primary_text_color="#ffffff",
        button_secondary_border_color="#8c959f",
        button_secondary_border_color_dark="#57606a",
        button_border_width="1px",
        slider_color="#0072b2",
        slider_color_dark="#56b4e9",
        link_text_color="#005a8d",
        link_text_color_dark="#56b4e9",
    )


def _hue(name: str, middle: Rgb) -> gr.themes.Color:
    mixed = {step: _mixed(middle, 255, share) for step, share in TINTS.items()}
    mixed |= {step: _mixed(middle, 0, share) for step, share in SHADES.items()}
    return gr.themes.Color(
        **{f"c{step}": css_colour(shade) for step, shade in mixed.items()}, name=name
    )


def _mixed(colour: Rgb, other: int, share: float) -> Rgb:
    red, green, blue = (round(part + (other - part) * share) for part in colour)
    return (red, green, blue)
