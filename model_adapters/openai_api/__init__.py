"""Models behind an OpenAI-compatible chat endpoint, as an adapter: vLLM, SGLang, llama.cpp, hosted, our own serve."""
