"""The leaky shop: the bookshop, and what others have added to it in a hurry."""

from bookshop.main import create_app

from leakyshop import leaks

app = create_app()
app.include_router(leaks.router)
