"""Scenarios of the contract suite that do not run before a real broker, each by its name, and why; what needs no fake clock of
its own runs as it is, the others as `tests.cluster.real_time` has them.

``test_scenarios.py`` holds the list to be exact: what is not listed runs.
"""

from __future__ import annotations

__all__ = ["ANSWERED_OTHERWISE", "LEFT_OUT", "MADE_BEFORE", "SWITCHED_OFF"]

#: Scenario -> why.
LEFT_OUT: dict[str, str] = {
    "test_topics_are_not_created_when_that_is_off": (
        "a broker started with autoCreateTopicEnable=false has no topic TBW102, and the gateway then makes none "
        "(tests/unit/backend/cluster); switched off later, RocketMQ keeps TBW102 and its route"
    ),
}

#: What RocketMQ does otherwise, by scenario: the drivers, and what it does. They run, and must fail.
ANSWERED_OTHERWISE: dict[str, tuple[tuple[str, ...], str]] = {
    "test_acknowledging_twice_is_fine_and_an_outdated_handle_is_not": (
        ("commands", "remoting"),
        "a broker takes the handle of a receive whose time is over, and settles nothing by it; gRPC and HTTP refuse it",
    ),
    "test_attempts_end_in_the_dead_letters": (
        ("remoting",),
        "a broker never gives up what is popped; a Remoting client that pops does it itself, as gateways do for the others",
    ),
    "test_changing_the_time_makes_the_old_handle_void": (
        ("commands", "remoting"),
        "a broker takes the handle of a receive whose time is over, and settles nothing by it; gRPC and HTTP refuse it",
    ),
    "test_in_order_a_queue_waits_for_its_first_message": (
        ("commands", "remoting"),
        "a broker takes the handle of a receive whose time is over, and settles nothing by it; gRPC and HTTP refuse it",
    ),
    "test_bodies_have_a_limit": (
        ("grpc",),
        "this driver puts a request into one frame of HTTP/2, which holds less than a broker's limit",
    ),
    "test_group_names_that_are_none": (
        ("remoting",),
        "a broker looks for the group, whatever its name is: SUBSCRIPTION_GROUP_NOT_EXIST (26)",
    ),
    "test_one_group_is_consumed_in_one_mode_at_a_time": (
        ("commands", "remoting", "grpc", "grpcweb", "http", "websocket"),
        "a broker lets a group pop what it pulls, and pull what it pops; the embedded broker refuses it",
    ),
    "test_nothing_is_lost_when_the_mode_changes": (
        ("commands", "remoting", "grpc", "grpcweb", "http", "websocket"),
        "what was popped and not acknowledged comes in %RETRY%group_topic, which those that pull never read: "
        "%RETRY%group does not even exist (TOPIC_NOT_EXIST, 17)",
    ),
    "test_administrators_see_who_consumes_and_what_is_in_flight": (
        ("commands", "remoting", "grpc", "grpcweb", "http", "mqhttp", "websocket"),
        "members are those that send heartbeats; who but receives is none (CONSUMER_NOT_ONLINE, 206)",
    ),
    "test_administrators_see_who_pulls": (
        ("commands", "remoting", "grpc", "grpcweb", "http", "websocket"),
        "members are those that send heartbeats; who but pulls is none (CONSUMER_NOT_ONLINE, 206)",
    ),
    "test_handles_that_are_none": (
        ("commands", "remoting", "grpc", "grpcweb", "http"),
        "a broker that no name server knows may come back: that is told as unavailable, not as a bad handle; "
        "the broker itself says NO_MESSAGE (208) to Remoting clients",
    ),
    "test_a_waiting_client_that_goes_takes_no_message_along": (
        ("commands", "grpc", "grpcweb", "http", "websocket"),
        "a pop that waits at the broker cannot be taken back: what it takes is given back at once, as a second attempt",
    ),
    "test_times_that_are_none": (("remoting",), "a broker takes any invisible time"),
    "test_members_are_told_of_members": (
        ("commands",),
        "only Remoting clients are told of each other, and theirs is the passthrough, which passes",
    ),
    "test_a_member_that_goes_without_a_word": (
        ("commands",),
        "only Remoting clients are told of each other, and theirs is the passthrough, which passes",
    ),
    "test_a_transaction_can_be_ended_after_a_crash": (
        ("grpc", "grpcweb", "websocket"),
        "another gateway learns where a half message is when the broker asks about it (docs/cluster.md)",
    ),
}

#: What of the broker's settings is off while a scenario runs, after all others.
SWITCHED_OFF: dict[str, str] = {"test_groups_are_not_created_when_that_is_off": "autoCreateSubscriptionGroup"}

#: What an administrator makes before a scenario: topics that brokers make by themselves take NORMAL messages, and groups are
#: there when somebody consumes.
MADE_BEFORE: dict[str, tuple[str, ...]] = {
    "test_a_delayed_message_comes_at_its_time_and_not_before": ("mixed topic",),
    "test_a_delayed_message_outlives_a_crash": ("mixed topic",),
    "test_delay_levels": ("mixed topic",),
    "test_a_message_for_a_time_can_be_recalled_before_it": ("mixed topic",),
    "test_the_producer_is_asked_about_what_it_left_undecided": ("topic",),
    "test_another_member_is_asked_when_the_first_is_gone": ("topic",),
    "test_checks_end_and_the_message_is_given_up": ("topic",),
    "test_a_transaction_is_visible_only_when_committed": ("topic",),
    "test_a_transaction_can_be_ended_after_a_crash": ("topic",),
    "test_the_place_of_a_group_is_kept": ("group",),
}
