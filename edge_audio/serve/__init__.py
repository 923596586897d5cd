"""A studio over HTTP: one process holds the model, everybody on the network makes sounds with it.

`studio.Studio` is the service without HTTP, `app.create_app` puts routes in front of it; routes
only translate.
"""
