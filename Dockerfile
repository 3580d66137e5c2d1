# The MCP server with the model on Ray Serve replicas. Clients must show SAM3I_TOKEN.
#   docker build -t sam3i .
#   docker run --shm-size 2g -p 8765:8765 -e SAM3I_TOKEN=... -v ~/Pictures:/pictures:ro sam3i
FROM python:3.12-slim

WORKDIR /opt/sam3i
COPY . .
RUN pip install --no-cache-dir ".[serve,video]" \
    && useradd --create-home sam3i \
    && mkdir /pictures

USER sam3i
# Downloaded weights, to be kept in a volume.
ENV HF_HOME=/home/sam3i/.cache/huggingface
EXPOSE 8765
HEALTHCHECK --start-period=120s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/readyz')"]
ENTRYPOINT ["sam3i", "serve", "--http", "0.0.0.0:8765", "--root", "/pictures"]
CMD ["--allow-host", "localhost:8765", "--allow-host", "127.0.0.1:8765", "--replicas", "2"]
