"""Valid and invalid chat requests, as the tests of the schemas and of the OpenAPI document share them."""

HELLO = {"role": "user", "content": "hello"}
MINIMAL_CHAT = {"model": "m", "messages": [HELLO]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def chat_with(**fields):
    return {**MINIMAL_CHAT, **fields}


def with_message(**message):
    return {"model": "m", "messages": [HELLO, message]}


def with_parts(*content, role="user"):
    return with_message(role=role, content=list(content))


ACCEPTED = [
    MINIMAL_CHAT,
    chat_with(temperature=0, top_p=1, n=128, seed=-(1 << 63), stop=["a"] * 4, logit_bias={"50256": -100}),
    chat_with(
        temperature=None, stop=None, stream=None, stream_options=None, audio=None, logit_bias=None, modalities=None
    ),
    chat_with(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
    chat_with(logprobs=True, top_logprobs=20),
    chat_with(metadata={"k" * 64: "v" * 512}),
    chat_with(tools=TOOLS, tool_choice="required", parallel_tool_calls=False),
    chat_with(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "f"}}),
    chat_with(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}]}}),
    chat_with(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]),
    chat_with(functions=[{"name": "f"}], function_call={"name": "f"}),
    chat_with(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": None}}),
    chat_with(web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "Wien"}}}),
    chat_with(prediction={"type": "content", "content": [{"type": "text", "text": ""}]}),
    chat_with(top_k=5, thinking={"type": "enabled"}),
    with_message(role="developer", content="d"),
    with_message(role="assistant", content=None, tool_calls=[CALL]),
    with_message(role="assistant", tool_calls=[CALL]),
    with_message(role="assistant", content=None, function_call={"name": "f", "arguments": ""}),
    with_message(role="assistant", content=None, refusal="no"),
    with_message(role="assistant", content="", reasoning_content=None, thinking_blocks=[{"type": "thinking"}]),
    with_message(role="assistant", content=[{"type": "refusal", "refusal": "no"}]),
    with_message(
        role="tool", tool_call_id="c", content=[{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}]
    ),
    with_message(role="function", name="f", content=None),
    with_parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}),
    with_parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    with_parts({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {}}),
]

# (request, the path of its first invalid field, the error message or None)
REFUSED = [
    ([], None, "The request must be a JSON object, not an array."),
    (None, None, "The request must be a JSON object, not null."),
    ({"messages": [HELLO]}, "model", "model is required."),
    ({"model": "m"}, "messages", "messages is required."),
    (chat_with(model=""), "model", "model must have at least 1 character(s)."),
    (chat_with(model=None), "model", "model must not be null."),
    (chat_with(messages=[]), "messages", "messages must have at least 1 item(s)."),
    (chat_with(messages="hello"), "messages", "messages must be an array, not a string."),
    (chat_with(messages={}), "messages", "messages must be an array, not an object."),
    (chat_with(messages=["hello"]), "messages[0]", "messages[0] must be an object, not a string."),
    (chat_with(messages=[HELLO, {}]), "messages[1].role", "messages[1].role is required."),
    (
        with_message(role="robot", content="x"),
        "messages[1].role",
        "messages[1].role must be one of 'developer', 'system', 'user', 'assistant', 'tool', 'function', not 'robot'.",
    ),
    (with_message(role=["user"], content="x"), "messages[1].role", None),
    (with_message(role="user"), "messages[1].content", "messages[1].content is required."),
    (with_message(role="user", content=None), "messages[1].content", "messages[1].content must not be null."),
    (
        with_message(role="user", content=5),
        "messages[1].content",
        "messages[1].content must be a string or an array, not an integer.",
    ),
    (with_message(role="user", content=[]), "messages[1].content", None),
    (with_message(role="user", content="x", name=None), "messages[1].name", None),
    (with_message(role="assistant", content=None), "messages[1].content", None),
    (with_message(role="assistant", content=None, tool_calls=[]), "messages[1].content", None),
    (with_message(role="assistant", content="x", tool_calls=None), "messages[1].tool_calls", None),
    (with_message(role="assistant", tool_calls=[{**CALL, "id": 1}]), "messages[1].tool_calls[0].id", None),
    (
        with_message(role="assistant", tool_calls=[CALL, {**CALL, "function": {"name": "f", "arguments": {}}}]),
        "messages[1].tool_calls[1].function.arguments",
        "messages[1].tool_calls[1].function.arguments must be a string, not an object.",
    ),
    (with_message(role="assistant", content="x", thinking_blocks=["t"]), "messages[1].thinking_blocks[0]", None),
    (with_message(role="tool", content="x"), "messages[1].tool_call_id", "messages[1].tool_call_id is required."),
    (with_message(role="function", content="x"), "messages[1].name", None),
    (
        with_parts({"type": "video_url", "video_url": {"url": "https://x"}}),
        "messages[1].content[0].type",
        "messages[1].content[0].type must be one of 'text', 'image_url', 'input_audio', 'file', not 'video_url'.",
    ),
    (with_parts({"text": "x"}), "messages[1].content[0].type", None),
    (with_parts({"type": "text"}), "messages[1].content[0].text", None),
    (
        with_parts({"type": "image_url", "image_url": "https://x"}),
        "messages[1].content[0].image_url",
        "messages[1].content[0].image_url must be an object, not a string.",
    ),
    (with_parts({"type": "image_url", "image_url": {}}), "messages[1].content[0].image_url.url", None),
    (with_parts({"type": "image_url", "image_url": {"url": "cat.png"}}), "messages[1].content[0].image_url.url", None),
    (
        with_parts({"type": "image_url", "image_url": {"url": "a:", "detail": "x"}}),
        "messages[1].content[0].image_url.detail",
        None,
    ),
    (with_parts({"type": "image_url", "image_url": {"url": "a:"}}, role="system"), "messages[1].content[0].type", None),
    (
        with_parts({"type": "input_audio", "input_audio": {"data": "", "format": "aac"}}),
        "messages[1].content[0].input_audio.format",
        None,
    ),
    (
        with_parts({"type": "text", "text": "x", "cache_control": "ephemeral"}),
        "messages[1].content[0].cache_control",
        None,
    ),
    (chat_with(temperature="0.5"), "temperature", "temperature must be a number, not a string."),
    (chat_with(temperature=True), "temperature", "temperature must be a number, not a boolean."),
    (chat_with(temperature=2.1), "temperature", "temperature must be between 0 and 2, not 2.1."),
    (chat_with(top_p=-0.1), "top_p", None),
    (chat_with(n=0), "n", "n must be between 1 and 128, not 0."),
    (chat_with(n=1.5), "n", "n must be an integer, not a fraction."),
    (chat_with(seed=1 << 63), "seed", None),
    (chat_with(stream="yes"), "stream", "stream must be a boolean, not a string."),
    (chat_with(stream=1), "stream", None),
    (chat_with(stream_options={}), "stream_options", "stream_options may only be given where stream is true."),
    (chat_with(stream=True, stream_options={"include_usage": "yes"}), "stream_options.include_usage", None),
    (chat_with(top_logprobs=3), "top_logprobs", "top_logprobs may only be given where logprobs is true."),
    (chat_with(stop=["a"] * 5), "stop", "stop must have at most 4 items."),
    (chat_with(stop=["a", 5]), "stop[1]", "stop[1] must be a string, not an integer."),
    (chat_with(stop=[5]), "stop[0]", None),
    (chat_with(logit_bias={"a": 101}), "logit_bias.a", None),
    (chat_with(metadata={"a": 1}), "metadata.a", None),
    (chat_with(metadata={"a": "v" * 513}), "metadata.a", "metadata.a must have at most 512 characters."),
    (chat_with(metadata={"k" * 65: ""}), "metadata", None),
    (chat_with(metadata={str(n): "" for n in range(17)}), "metadata", "metadata must have at most 16 keys, not 17."),
    (chat_with(tools=None), "tools", "tools must not be null."),
    (chat_with(tools=[{"type": "web_search"}]), "tools[0].type", None),
    (chat_with(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name", None),
    (chat_with(tools=[{"type": "function", "function": {"name": "a" * 65}}]), "tools[0].function.name", None),
    (
        chat_with(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        None,
    ),
    (chat_with(tool_choice="any"), "tool_choice", "tool_choice must be one of 'none', 'auto', 'required', not 'any'."),
    (chat_with(tool_choice={"type": "function"}), "tool_choice.function", None),
    (chat_with(functions=[]), "functions", None),
    (chat_with(response_format={"type": "xml"}), "response_format.type", None),
    (chat_with(response_format={"type": "json_schema"}), "response_format.json_schema", None),
    (chat_with(reasoning_effort="extreme"), "reasoning_effort", None),
    (chat_with(safety_identifier="s" * 65), "safety_identifier", None),
    (chat_with(audio={"voice": {}, "format": "wav"}), "audio.voice.id", None),
    (chat_with(modalities=["video"]), "modalities[0]", None),
    (chat_with(moderation={"model": "m", "policy": {"input": {"mode": "x"}}}), "moderation.policy.input.mode", None),
    ({"messages": [{"role": "x"}], "temperature": 5, "model": "m"}, "messages[0].role", None),
    ({"temperature": 5, "messages": [{"role": "x"}], "model": "m"}, "temperature", None),
]
