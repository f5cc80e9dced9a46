"""The image of an app, as far as its Dockerfile tells without a build."""
