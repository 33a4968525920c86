"""Scenarios that a protocol has no words for: by driver and by what is missing, with the reason, each scenario by its name.

``test_front_ends.py`` holds the list to be exact: nothing else is left out, and nothing listed could be said after all.
"""

from __future__ import annotations

__all__ = ["UNEXPRESSED"]

_MEMBERS = (
    "test_members_are_told_of_members",
    "test_a_member_that_goes_without_a_word",
    "test_a_member_that_is_silent_is_gone",
    "test_a_group_without_members",
    "test_broadcasting_members_each_get_all",
)
_BACK = (
    "test_what_is_sent_back_comes_by_the_ladder_in_the_retry_topic",
    "test_a_level_of_its_own_and_the_dead_letters_at_once",
    "test_after_the_last_attempt_it_is_a_dead_letter",
)
_CHOSEN = ("test_each_message_says_where_it_went", "test_the_sender_may_choose_the_queue")
_BATCH = ("test_a_batch_is_in_one_queue_in_order",)
_FOUND = ("test_messages_are_found_by_key_and_unique_key",)
_VIEWED = ("test_a_message_is_found_where_it_was_stored",)
_LEVELS = ("test_delay_levels",)
_LOCKED = ("test_queues_are_locked_by_one_and_free_again_in_time",)
_CHECKED = (
    "test_the_producer_is_asked_about_what_it_left_undecided",
    "test_another_member_is_asked_when_the_first_is_gone",
    "test_checks_end_and_the_message_is_given_up",
)
_TIMED = (
    "test_a_received_message_is_invisible_for_its_time",
    "test_a_receive_waits_and_wakes_at_the_append",
    "test_a_receive_that_finds_nothing_ends_empty_in_time",
    "test_a_waiting_client_that_goes_takes_no_message_along",
    "test_changing_the_time_makes_the_old_handle_void",
    "test_acknowledging_twice_is_fine_and_an_outdated_handle_is_not",
    "test_handles_are_valid_after_a_crash",
    "test_in_order_a_queue_waits_for_its_first_message",
    "test_times_that_are_none",
    "test_handles_that_are_none",
    "test_groups_are_not_created_when_that_is_off",
    "test_one_group_is_consumed_in_one_mode_at_a_time",
    "test_nothing_is_lost_when_the_mode_changes",
)
_PULLED = (
    "test_a_pull_goes_on_from_its_offset",
    "test_a_pull_waits_and_wakes_at_the_append",
    "test_a_pull_that_finds_nothing_ends_in_time",
    "test_tags_choose_and_the_offset_passes_what_they_leave_out",
    "test_queues_that_are_none",
    "test_what_was_answered_outlives_a_crash",
)
_SEEN_PULLING = ("test_administrators_see_who_pulls",)
_PLACES = ("test_the_place_of_a_group_is_kept",)
_BY_TIME = ("test_offsets_by_time",)
_ROUTED = ("test_an_automatic_topic_has_the_queues_that_its_producer_likes",)

_NO_QUEUE = "its producers name no queue: the server chooses, by the message group where there is one"
_NO_BATCH = "it has no message batch; a producer sends one message after the other"
_NO_ADMINISTRATION = "it looks nothing up for administrators: messages are found by Remoting (mqadmin) and by gRPC"
_NO_LEVELS = "it has delivery times, which say all that levels can say"
_NO_LOCKS = "a lock is for consumers that rebalance queues among themselves, which only Remoting clients do"
_NO_MEMBERS = "its clients are not told of each other: the gateway shares the messages out among them"
_NO_SEND_BACK = "what was pulled is not given back: what was received is"

#: Driver -> operation that is missing -> why, and the scenarios that fail by it first.
UNEXPRESSED: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "commands": {},
    "remoting": {
        "dead_letter": (
            "there is no request for it: a client sends such a message to the dead-letter topic itself",
            ("test_a_rejected_message_goes_to_the_dead_letters",),
        ),
    },
    "grpc": {
        "send_to": (_NO_QUEUE, _CHOSEN),
        "send_batch": (_NO_BATCH, _BATCH),
        "send_at_level": (_NO_LEVELS, _LEVELS),
        "send_back": (_NO_SEND_BACK, _BACK),
        "lock": (_NO_LOCKS, _LOCKED),
        "heartbeat": (_NO_MEMBERS, _MEMBERS),
    },
    "grpcweb": {
        "send_to": (_NO_QUEUE, _CHOSEN),
        "send_batch": (_NO_BATCH, _BATCH),
        "send_at_level": (_NO_LEVELS, _LEVELS),
        "checks": (
            "a stream in both directions needs the WebSocket transport, whose calls are the same code (test_web.py)",
            _CHECKED,
        ),
        "send_back": (_NO_SEND_BACK, _BACK),
        "lock": (_NO_LOCKS, _LOCKED),
        "heartbeat": (_NO_MEMBERS, _MEMBERS),
    },
    "http": {
        "find_by_key": (_NO_ADMINISTRATION, _FOUND),
        "view": (_NO_ADMINISTRATION, _VIEWED),
        "send_back": (_NO_SEND_BACK, _BACK),
        "lock": (_NO_LOCKS, _LOCKED),
        "heartbeat": (_NO_MEMBERS, _MEMBERS),
    },
    "mqhttp": {
        "send_to": (_NO_QUEUE, _CHOSEN),
        "send_batch": (_NO_BATCH, _BATCH),
        "find_by_key": (_NO_ADMINISTRATION, _FOUND),
        "view": (_NO_ADMINISTRATION, _VIEWED),
        "send_at_level": (_NO_LEVELS, _LEVELS),
        "recall": (
            "its answer to a publish has no place for a recall handle",
            ("test_a_message_for_a_time_can_be_recalled_before_it",),
        ),
        "checks": (
            "half messages are fetched 10 s after the publish at the earliest, not asked about by time "
            "(tests/unit/rmqgateway_mqhttp/test_transactions.py)",
            _CHECKED,
        ),
        "release": (
            "nothing is given back: what is not acknowledged comes again when its time is over",
            (
                "test_what_is_given_back_comes_again_after_its_delay_with_the_next_attempt",
                "test_attempts_end_in_the_dead_letters",
            ),
        ),
        "dead_letter": (
            "nothing is rejected: what is not acknowledged becomes a dead letter after its last attempt",
            ("test_a_rejected_message_goes_to_the_dead_letters",),
        ),
        "receive_for": ("how long a message is invisible is the server's setting, not the consumer's choice", _TIMED),
        "pull": ("it has no offsets", (*_PULLED, *_BACK, *_SEEN_PULLING)),
        "commit": ("it has no offsets", _PLACES),
        "offset_at": ("it has no offsets", _BY_TIME),
        "lock": (_NO_LOCKS, _LOCKED),
        "heartbeat": (_NO_MEMBERS, _MEMBERS),
        "queues": ("it has no queues", _ROUTED),
    },
    "websocket": {
        "send_batch": ("messages of one frame are stored together, each in a queue of its own", _BATCH),
        "find_by_key": (_NO_ADMINISTRATION, _FOUND),
        "view": (_NO_ADMINISTRATION, _VIEWED),
        "send_at_level": (_NO_LEVELS, _LEVELS),
        "change_invisible": (
            "handles are kept valid by the gateway while the connection stands: a client has none to prolong",
            (
                "test_changing_the_time_makes_the_old_handle_void",
                "test_in_order_a_queue_waits_for_its_first_message",
                "test_handles_that_are_none",
            ),
        ),
        "send_back": (_NO_SEND_BACK, _BACK),
        "lock": (_NO_LOCKS, _LOCKED),
        "heartbeat": (_NO_MEMBERS, _MEMBERS),
    },
}
#: An example of somebody else's front-end leaves out what it likes.
_EXAMPLE = "STOMP has no word for it, and the example is to stay small"
UNEXPRESSED["stomp"] = {
    "send_to": (_EXAMPLE, _CHOSEN),
    "send_batch": (_EXAMPLE, _BATCH),
    "find_by_key": (_EXAMPLE, _FOUND),
    "view": (_EXAMPLE, _VIEWED),
    "send_at_level": (_EXAMPLE, _LEVELS),
    "send_timed": (_EXAMPLE, ("test_a_message_for_a_time_can_be_recalled_before_it",)),
    "send_half": (
        _EXAMPLE,
        (
            "test_a_transaction_is_visible_only_when_committed",
            "test_a_transaction_can_be_ended_after_a_crash",
            *_CHECKED,
        ),
    ),
    "receive_for": (_EXAMPLE, _TIMED),
    "pull": (_EXAMPLE, (*_PULLED, *_BACK, *_SEEN_PULLING)),
    "commit": (_EXAMPLE, _PLACES),
    "offset_at": (_EXAMPLE, _BY_TIME),
    "lock": (_EXAMPLE, _LOCKED),
    "heartbeat": (_EXAMPLE, _MEMBERS),
    "queues": (_EXAMPLE, _ROUTED),
}
