"""The landing page: what runs, what was used today, the last calls, and whether each part is well.

`facts` gathers, `page` writes the HTML, `routes` serves it. It needs no script, and nothing from another
server. Must not know SQL, nor metrics' names.
"""

from llmtoken.landing.routes import router

__all__ = ["router"]
