"""Message stubs of the apache.rocketmq.v2 API, made by ``tools/generate_apis.py``."""
