"""Benchmarks: the gateway and a real Apache RocketMQ under the same load, one after the other.

``rows`` says what is measured and what it may cost, ``session`` plays it, ``servers`` starts and stops what
is measured, ``load`` drives the compiled generator, ``report`` writes the table. Start it with
``python bench/run.py --help``.
"""
