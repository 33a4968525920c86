"""Scenarios of the contract suite that do not run before a real broker, each by its name, and why.

``test_scenarios.py`` holds the list to be exact: what is not listed runs.
"""

from __future__ import annotations

__all__ = ["ANSWERED_OTHERWISE", "LEFT_OUT", "MADE_BEFORE"]

_CLOCK = "it looks at tenths of a second: a broker's timers have a precision of a second, and its clock cannot be moved"
_LADDER = "it waits for minutes that only a clock that can be moved lets pass"
_SETTING = "it is about a setting of the embedded broker"
_TABLES = "it looks at the embedded broker's own tables; the gateway's before a cluster: tests/interop/test_passthrough.py"
_MODES = "the embedded broker refuses to mix pull and pop in one group; RocketMQ does not"

#: Scenario -> why.
LEFT_OUT: dict[str, str] = {
    "test_a_delayed_message_comes_at_its_time_and_not_before": _CLOCK,
    "test_a_delayed_message_outlives_a_crash": _CLOCK,
    "test_a_message_for_a_time_can_be_recalled_before_it": _CLOCK,
    "test_the_producer_is_asked_about_what_it_left_undecided": _CLOCK,
    "test_another_member_is_asked_when_the_first_is_gone": _CLOCK,
    "test_checks_end_and_the_message_is_given_up": _SETTING,
    "test_bodies_have_a_limit": _SETTING,
    "test_topics_are_not_created_when_that_is_off": _SETTING,
    "test_groups_are_not_created_when_that_is_off": _SETTING,
    "test_delay_levels": _SETTING,
    "test_what_is_given_back_comes_again_after_its_delay_with_the_next_attempt": _CLOCK,
    "test_attempts_end_in_the_dead_letters": _CLOCK,
    "test_what_was_received_or_acknowledged_outlives_a_crash": _CLOCK,
    "test_a_received_message_is_invisible_for_its_time": _CLOCK,
    "test_a_receive_that_finds_nothing_ends_empty_in_time": _CLOCK,
    "test_changing_the_time_makes_the_old_handle_void": _CLOCK,
    "test_acknowledging_twice_is_fine_and_an_outdated_handle_is_not": _CLOCK,
    "test_in_order_a_queue_waits_for_its_first_message": _CLOCK,
    "test_a_pull_that_finds_nothing_ends_in_time": _CLOCK,
    "test_offsets_by_time": _CLOCK,
    "test_queues_are_locked_by_one_and_free_again_in_time": _CLOCK,
    "test_what_is_sent_back_comes_by_the_ladder_in_the_retry_topic": _LADDER,
    "test_a_level_of_its_own_and_the_dead_letters_at_once": _CLOCK,
    "test_after_the_last_attempt_it_is_a_dead_letter": _LADDER,
    "test_a_member_that_is_silent_is_gone": _LADDER,
    "test_one_group_is_consumed_in_one_mode_at_a_time": _MODES,
    "test_nothing_is_lost_when_the_mode_changes": _MODES,
    "test_administrators_see_who_consumes_and_what_is_in_flight": _TABLES,
    "test_administrators_see_who_pulls": _TABLES,
}

#: What RocketMQ does otherwise, by scenario: the drivers, and what it does. They run, and must fail.
ANSWERED_OTHERWISE: dict[str, tuple[tuple[str, ...], str]] = {
    "test_group_names_that_are_none": (
        ("remoting",),
        "a broker looks for the group, whatever its name is: SUBSCRIPTION_GROUP_NOT_EXIST (26)",
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

#: What an administrator makes before a scenario: topics that brokers make by themselves take NORMAL messages, and groups are
#: there when somebody consumes.
MADE_BEFORE: dict[str, tuple[str, ...]] = {
    "test_a_transaction_is_visible_only_when_committed": ("topic",),
    "test_a_transaction_can_be_ended_after_a_crash": ("topic",),
    "test_the_place_of_a_group_is_kept": ("group",),
}
