"""The one failure of rendering."""


class TemplateError(Exception):
    """A template could not be rendered, or what came out is not the child that it should be.

    `template` is its file name; `field` is the place in the manifest or the value at fault, as far as it is known.
    """

    def __init__(self, template: str, message: str, field: str = "") -> None:
        super().__init__(f"{template}: {field}: {message}" if field else f"{template}: {message}")
        self.template = template
        self.message = message
        self.field = field
