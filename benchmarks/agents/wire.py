"""What a model is asked over the wire, and what servers really answer: promises that tests hold against real local servers."""

from __future__ import annotations

from benchmarks.methods.row import Held

_SENT = "tests/models/tools/test_what_servers_send.py"
_WAYS = "tests/models/tools/test_every_way_of_sending.py"
_SAID = "tests/models/tools/test_how_requests_are_said.py"
_COMES = "tests/models/tools/test_what_comes_with_an_answer.py"
_COSTS = "tests/models/tools/test_what_a_prompt_costs_at_most.py"
_FURTHER = "tests/models/tools/test_further_fields_and_headers.py"
_RESPONSES = "tests/models/tools/test_responses.py"
_NUMBERS = "tests/models/asking/test_embed_and_score.py"

ROWS = [
    Held(
        item="models",
        promise="Tools, what may be chosen of them, parallel calls and the strict form are said in each server's way",
        tests=(
            f"{_SAID}::test_tools_are_offered",
            f"{_SAID}::test_what_is_to_be_chosen_is_said",
            f"{_SAID}::test_the_tools_that_are_allowed_are_named_to_openai_and_alone_offered_to_others",
            f"{_SAID}::test_a_tool_is_strict_where_it_is_to_be",
            f"{_WAYS}::test_openai_s_own_types_know_every_field_of_a_chat",
        ),
    ),
    Held(
        item="models",
        promise="Calls and their answers are given back, also of calls that were cut off and of tools that show pictures",
        tests=(
            f"{_SAID}::test_calls_and_their_answers_are_given_back",
            f"{_SAID}::test_a_reply_s_message_goes_on_with_the_conversation",
            f"{_SAID}::test_pictures_of_tools_follow_all_answers_to_a_turn",
        ),
    ),
    Held(
        item="models",
        promise="Twenty ways in which servers send calls (index 0 for all, a new id with each fragment, arguments as "
        "objects, no ids, another word at the end …) give the calls that were meant, from a stream and from a "
        "whole answer",
        tests=(
            f"{_SENT}::test_calls_are_told_apart_however_a_server_sends_them",
            f"{_SENT}::test_a_stream_hands_out_the_calls_that_the_reply_has",
            f"{_SENT}::test_a_whole_answer_holds_its_calls_one_after_the_other",
            f"{_WAYS}::test_calls_come_out_as_they_went_in_however_they_are_cut",
        ),
    ),
    Held(
        item="models",
        promise="A call that was cut off is kept as far as it came; a stream that breaks off within one is asked for again",
        tests=(
            f"{_SENT}::test_a_call_that_was_cut_off_is_kept_as_far_as_it_came",
            f"{_SENT}::test_a_call_that_was_cut_off_before_its_arguments_has_none",
            f"{_SENT}::test_a_stream_that_breaks_off_within_a_call_is_asked_for_again",
        ),
    ),
    Held(
        item="models",
        promise="A server that ignores that a tool is required, loses a call or leaves it among the thoughts is one clear error",
        tests=(
            f"{_SENT}::test_a_server_that_ignores_that_a_tool_is_required_is_told_of",
            f"{_SENT}::test_an_end_in_tool_calls_without_any_is_an_error",
            f"{_SENT}::test_calls_that_a_parser_of_thoughts_has_swallowed_are_told_of_and_not_made",
            f"{_SENT}::test_calls_that_are_none_are_an_error_of_the_protocol",
        ),
    ),
    Held(
        item="models",
        promise="Requests that make no sense are refused at the call, and nothing is sent or reserved",
        tests=(
            "tests/models/tools/test_requests_that_make_no_sense.py::test_tools_are_checked",
            "tests/models/tools/test_requests_that_make_no_sense.py::test_options_are_checked",
            "tests/models/tools/test_requests_that_make_no_sense.py::test_conversations_are_checked",
            "tests/models/tools/test_requests_that_make_no_sense.py::"
            "test_nothing_is_reserved_or_asked_for_a_request_that_makes_no_sense",
        ),
    ),
    Held(
        item="models",
        promise="The tokens of tools, schemas, pictures and sounds are reserved too; thoughts, sound and caches are "
        "charged as the list of genai-prices itself computes, for all models of eight providers",
        tests=(
            f"{_COSTS}::test_a_catalogue_costs_no_more_however_a_template_prints_it",
            f"{_COSTS}::test_a_catalogue_that_does_not_fit_the_budget_is_refused_before_anything_is_sent",
            f"{_COSTS}::test_sound_is_charged_at_its_price_also_where_the_server_does_not_say_how_much_it_was",
            "tests/models/test_prices.py::test_all_models_of_a_provider_cost_what_genai_prices_itself_computes",
        ),
    ),
    Held(
        item="models",
        promise="Thoughts, likeliest tokens, pictures, sounds, and messages that are gone on with",
        tests=(
            f"{_COMES}::test_what_a_model_thought_is_kept_apart_from_what_it_said",
            f"{_COMES}::test_the_likeliest_tokens_at_each_place_come_with_a_chat_and_with_a_text",
            f"{_SAID}::test_pictures_and_sounds_are_parts",
            f"{_SAID}::test_a_message_is_gone_on_with_in_the_server_s_way",
            f"{_RESPONSES}::test_llama_cpp_goes_on_with_a_message_and_tells_the_likeliest_tokens",
        ),
    ),
    Held(
        item="models",
        promise="Further fields are part of the key and headers are not; no secret reaches a store or an error; "
        "deployments are told apart",
        tests=(
            f"{_FURTHER}::test_a_header_is_no_part_of_the_key_and_a_further_field_is",
            f"{_FURTHER}::test_what_headers_hold_is_hidden_in_errors",
            f"{_FURTHER}::test_deployments_that_are_asked_in_different_ways_are_different_models",
        ),
    ),
    Held(
        item="models",
        promise="The Responses API: calls, thoughts and texts come whole however much of them is streamed, and from "
        "llama.cpp's own server",
        tests=(
            f"{_RESPONSES}::test_calls_and_thoughts_come_whole_however_much_of_them_is_streamed",
            f"{_RESPONSES}::test_what_the_api_can_not_do_is_refused_before_anything_is_sent",
            f"{_RESPONSES}::test_llama_cpp_speaks_it_too",
            f"{_WAYS}::test_openai_s_own_types_know_every_field_of_the_responses_api",
        ),
    ),
    Held(
        item="models",
        promise="Embeddings, and scores of reward models and rerankers, are calls: in parts, journaled, priced, also of llama.cpp",
        tests=(
            f"{_NUMBERS}::test_there_is_a_vector_for_each_text_in_its_order",
            f"{_NUMBERS}::test_a_long_list_goes_out_in_parts_and_a_crash_loses_none_that_came_back",
            f"{_NUMBERS}::test_llama_cpp_embeds_too",
            f"{_NUMBERS}::test_there_is_a_score_for_each_text_in_its_order",
        ),
    ),
    Held(
        item="models",
        promise="A replayed stream gives calls and thoughts whole again, without asking",
        tests=(
            f"{_COMES}::test_a_reply_with_calls_that_is_handed_out_in_pieces_is_the_same_reply",
            f"{_COMES}::test_a_stream_that_is_replayed_gives_its_calls_and_thoughts_again",
        ),
    ),
]
