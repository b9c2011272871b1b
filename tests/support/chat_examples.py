"""Chat requests that are right, and ones that are wrong: (the request, its fault's path, the message or None)."""

HELLO = {"role": "user", "content": "hello"}
ASKED = {"model": "m", "messages": [HELLO]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def asked(**fields):
    return {**ASKED, **fields}


def said(**message):
    return {"model": "m", "messages": [HELLO, message]}


def parts(*content, role="user"):
    return said(role=role, content=list(content))


ACCEPTED = [
    ASKED,
    asked(temperature=0, top_p=1, n=128, seed=-(1 << 63), stop=["a"] * 4, logit_bias={"50256": -100}),
    asked(temperature=None, stop=None, stream=None, stream_options=None, audio=None, logit_bias=None, modalities=None),
    asked(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
    asked(logprobs=True, top_logprobs=20),
    asked(metadata={"k" * 64: "v" * 512}),
    asked(tools=TOOLS, tool_choice="required", parallel_tool_calls=False),
    asked(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "f"}}),
    asked(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}]}}),
    asked(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]),
    asked(functions=[{"name": "f"}], function_call={"name": "f"}),
    asked(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": None}}),
    asked(web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "Wien"}}}),
    asked(prediction={"type": "content", "content": [{"type": "text", "text": ""}]}),
    asked(top_k=5, thinking={"type": "enabled"}),
    said(role="developer", content="d"),
    said(role="assistant", content=None, tool_calls=[CALL]),
    said(role="assistant", tool_calls=[CALL]),
    said(role="assistant", content=None, function_call={"name": "f", "arguments": ""}),
    said(role="assistant", content=None, refusal="no"),
    said(role="assistant", content="", reasoning_content=None, thinking_blocks=[{"type": "thinking"}]),
    said(role="assistant", content=[{"type": "refusal", "refusal": "no"}]),
    said(
        role="tool", tool_call_id="c", content=[{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}]
    ),
    said(role="function", name="f", content=None),
    parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}),
    parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    parts({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {}}),
]

REFUSED = [
    ([], None, "The request must be a JSON object, not an array."),
    (None, None, "The request must be a JSON object, not null."),
    ({"messages": [HELLO]}, "model", "model is required."),
    ({"model": "m"}, "messages", "messages is required."),
    (asked(model=""), "model", "model must have at least 1 character(s)."),
    (asked(model=None), "model", "model must not be null."),
    (asked(messages=[]), "messages", "messages must have at least 1 item(s)."),
    (asked(messages="hello"), "messages", "messages must be an array, not a string."),
    (asked(messages={}), "messages", "messages must be an array, not an object."),
    (asked(messages=["hello"]), "messages[0]", "messages[0] must be an object, not a string."),
    (asked(messages=[HELLO, {}]), "messages[1].role", "messages[1].role is required."),
    (
        said(role="robot", content="x"),
        "messages[1].role",
        "messages[1].role must be one of 'developer', 'system', 'user', 'assistant', 'tool', 'function', not 'robot'.",
    ),
    (said(role=["user"], content="x"), "messages[1].role", None),
    (said(role="user"), "messages[1].content", "messages[1].content is required."),
    (said(role="user", content=None), "messages[1].content", "messages[1].content must not be null."),
    (
        said(role="user", content=5),
        "messages[1].content",
        "messages[1].content must be a string or an array, not an integer.",
    ),
    (said(role="user", content=[]), "messages[1].content", None),
    (said(role="user", content="x", name=None), "messages[1].name", None),
    (said(role="assistant", content=None), "messages[1].content", None),
    (said(role="assistant", content=None, tool_calls=[]), "messages[1].content", None),
    (said(role="assistant", content="x", tool_calls=None), "messages[1].tool_calls", None),
    (said(role="assistant", tool_calls=[{**CALL, "id": 1}]), "messages[1].tool_calls[0].id", None),
    (
        said(role="assistant", tool_calls=[CALL, {**CALL, "function": {"name": "f", "arguments": {}}}]),
        "messages[1].tool_calls[1].function.arguments",
        "messages[1].tool_calls[1].function.arguments must be a string, not an object.",
    ),
    (said(role="assistant", content="x", thinking_blocks=["t"]), "messages[1].thinking_blocks[0]", None),
    (said(role="tool", content="x"), "messages[1].tool_call_id", "messages[1].tool_call_id is required."),
    (said(role="function", content="x"), "messages[1].name", None),
    (
        parts({"type": "video_url", "video_url": {"url": "https://x"}}),
        "messages[1].content[0].type",
        "messages[1].content[0].type must be one of 'text', 'image_url', 'input_audio', 'file', not 'video_url'.",
    ),
    (parts({"text": "x"}), "messages[1].content[0].type", None),
    (parts({"type": "text"}), "messages[1].content[0].text", None),
    (
        parts({"type": "image_url", "image_url": "https://x"}),
        "messages[1].content[0].image_url",
        "messages[1].content[0].image_url must be an object, not a string.",
    ),
    (parts({"type": "image_url", "image_url": {}}), "messages[1].content[0].image_url.url", None),
    (parts({"type": "image_url", "image_url": {"url": "cat.png"}}), "messages[1].content[0].image_url.url", None),
    (
        parts({"type": "image_url", "image_url": {"url": "a:", "detail": "x"}}),
        "messages[1].content[0].image_url.detail",
        None,
    ),
    (parts({"type": "image_url", "image_url": {"url": "a:"}}, role="system"), "messages[1].content[0].type", None),
    (
        parts({"type": "input_audio", "input_audio": {"data": "", "format": "aac"}}),
        "messages[1].content[0].input_audio.format",
        None,
    ),
    (parts({"type": "text", "text": "x", "cache_control": "ephemeral"}), "messages[1].content[0].cache_control", None),
    (asked(temperature="0.5"), "temperature", "temperature must be a number, not a string."),
    (asked(temperature=True), "temperature", "temperature must be a number, not a boolean."),
    (asked(temperature=2.1), "temperature", "temperature must be between 0 and 2, not 2.1."),
    (asked(top_p=-0.1), "top_p", None),
    (asked(n=0), "n", "n must be between 1 and 128, not 0."),
    (asked(n=1.5), "n", "n must be an integer, not a fraction."),
    (asked(seed=1 << 63), "seed", None),
    (asked(stream="yes"), "stream", "stream must be a boolean, not a string."),
    (asked(stream=1), "stream", None),
    (asked(stream_options={}), "stream_options", "stream_options may only be given where stream is true."),
    (asked(stream=True, stream_options={"include_usage": "yes"}), "stream_options.include_usage", None),
    (asked(top_logprobs=3), "top_logprobs", "top_logprobs may only be given where logprobs is true."),
    (asked(stop=["a"] * 5), "stop", "stop must have at most 4 items."),
    (asked(stop=["a", 5]), "stop[1]", "stop[1] must be a string, not an integer."),
    (asked(stop=[5]), "stop[0]", None),
    (asked(logit_bias={"a": 101}), "logit_bias.a", None),
    (asked(metadata={"a": 1}), "metadata.a", None),
    (asked(metadata={"a": "v" * 513}), "metadata.a", "metadata.a must have at most 512 characters."),
    (asked(metadata={"k" * 65: ""}), "metadata", None),
    (asked(metadata={str(n): "" for n in range(17)}), "metadata", "metadata must have at most 16 keys, not 17."),
    (asked(tools=None), "tools", "tools must not be null."),
    (asked(tools=[{"type": "web_search"}]), "tools[0].type", None),
    (asked(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name", None),
    (asked(tools=[{"type": "function", "function": {"name": "a" * 65}}]), "tools[0].function.name", None),
    (
        asked(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        None,
    ),
    (asked(tool_choice="any"), "tool_choice", "tool_choice must be one of 'none', 'auto', 'required', not 'any'."),
    (asked(tool_choice={"type": "function"}), "tool_choice.function", None),
    (asked(functions=[]), "functions", None),
    (asked(response_format={"type": "xml"}), "response_format.type", None),
    (asked(response_format={"type": "json_schema"}), "response_format.json_schema", None),
    (asked(reasoning_effort="extreme"), "reasoning_effort", None),
    (asked(safety_identifier="s" * 65), "safety_identifier", None),
    (asked(audio={"voice": {}, "format": "wav"}), "audio.voice.id", None),
    (asked(modalities=["video"]), "modalities[0]", None),
    (asked(moderation={"model": "m", "policy": {"input": {"mode": "x"}}}), "moderation.policy.input.mode", None),
    ({"messages": [{"role": "x"}], "temperature": 5, "model": "m"}, "messages[0].role", None),
    ({"temperature": 5, "messages": [{"role": "x"}], "model": "m"}, "temperature", None),
]
