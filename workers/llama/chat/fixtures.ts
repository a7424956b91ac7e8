// Templates for tests, written for them, each with the signs of one family.

export const TAGGED = `{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}
{% endif %}{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Call like <tool_call>{"name": "…", "arguments": {}}</tool_call><|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}{%- for message in messages %}
{%- if message.role == 'user' %}<|im_start|>user
{{ message.content }}<|im_end|>
{% elif message.role == 'assistant' %}<|im_start|>assistant
{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% elif message.role == 'tool' %}<|im_start|>user
<tool_response>{{ message.content }}</tool_response><|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}`;

/** As TAGGED, but the prompt opens the reasoning. */
export const OPENED = TAGGED.replace("{% endif %}{% endif %}", "{% else %}<think>\n{% endif %}{% endif %}");

/** Insists on turns and on short ids. */
export const BRACKETED = `{%- set ns = namespace(i=0, system='') %}{{ bos_token }}
{%- for message in messages %}
{%- if message.role == 'system' and loop.first %}{% set ns.system = message.content %}
{%- elif message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
{%- if (message.role == 'user') != (ns.i % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% set ns.i = ns.i + 1 %}
{%- if message.role == 'user' %}{% if loop.last and tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}[INST]{{ ns.system }}{{ message.content }}[/INST]
{%- else %}{{ message.content }}{{ eos_token }}{% endif %}
{%- elif message.role == 'assistant' %}[TOOL_CALLS][
{%- for call in message.tool_calls %}{% if call.id | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}{% if not loop.last %}, {% endif %}
{%- endfor %}]{{ eos_token }}
{%- elif message.role == 'tool' %}{% if message.tool_call_id | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}[TOOL_RESULTS]{{ message.content }}[/TOOL_RESULTS]
{%- else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}`;

export const BRACKETED_NAMES = "{{ messages[0].content }}{{ tools | tojson }}{# [TOOL_CALLS] [ARGS] #}".replace(
  "{# [TOOL_CALLS] [ARGS] #}",
  "{% if false %}[TOOL_CALLS] [ARGS]{% endif %}",
);
export const BRACKETED_IDS = BRACKETED_NAMES.replace("[ARGS]", "[CALL_ID] [ARGS]");

/** Writes arguments as text and knows one call per message. */
export const BARE = `{%- for message in messages %}
{%- if message.tool_calls %}{% if message.tool_calls | length != 1 %}{{ raise_exception('one call at a time') }}{% endif %}<|assistant|>
{{- '{"name": "' + message.tool_calls[0].function.name + '", "parameters": ' + message.tool_calls[0].function.arguments + '}' }}
{%- else %}<|{{ message.role }}|>{{ message.content }}{% endif %}{% endfor %}{% if tools is not none %}{{ tools | tojson }}
Answer {"name": …, "parameters": …}{% endif %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

const FENCES = `{%- for message in messages %}{{ '<｜' + message.role + '｜>' + message.content }}
{%- for call in message.tool_calls or [] %}<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ call.function.name }}
{{ call.function.arguments | tojson }}<｜tool▁call▁end｜><｜tool▁calls▁end｜>{% endfor %}{% endfor %}<｜Assistant｜>`;
export const SEPARATED = `${FENCES}{% if false %}{{ tools }}{% endif %}`;
/** Says nothing of tools. */
export const FENCED = `${FENCES}{% if false %}\`\`\`json{% endif %}<think>`;

export const CHANNELS = `{%- for message in messages %}<|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>{% endfor %}
{%- if tools %}{{ tools | tojson }}{% endif %}{% if reasoning_effort %}Reasoning: {{ reasoning_effort }}{% endif %}<|start|>assistant{% if false %}<|channel|>{% endif %}`;

/** Knows neither tools nor a system message. */
export const PLAIN = `{%- for message in messages %}{% if message.role not in ['user', 'assistant'] %}{{ raise_exception('only user and assistant') }}{% endif %}
{{- '<' + message.role + '>' + message.content + '</s>' }}{% endfor %}<assistant>`;

export const TEMPLATES = {
  TAGGED,
  OPENED,
  BRACKETED,
  BRACKETED_NAMES,
  BRACKETED_IDS,
  BARE,
  SEPARATED,
  FENCED,
  CHANNELS,
  PLAIN,
  NONE: "",
};
