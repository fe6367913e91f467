FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md CHANGELOG.md cli.py ./
COPY fixionmail fixionmail
COPY console console
COPY supabase supabase
RUN python -m venv /opt/fixionmail \
 && /opt/fixionmail/bin/pip install --no-cache-dir --constraint constraints.txt .

# Catches the mail of a deployment that is played with; only compose.yaml asks for it, and no other target has it.
FROM build AS catcher
COPY tests/standins tests/standins
USER nobody
ENTRYPOINT ["/opt/fixionmail/bin/python", "-m", "tests.standins.catcher"]

FROM python:3.12-slim
RUN useradd --create-home fixionmail && install --directory --owner=fixionmail /home/fixionmail/data
COPY --from=build /opt/fixionmail /opt/fixionmail
USER fixionmail
WORKDIR /home/fixionmail
ENV PATH=/opt/fixionmail/bin:$PATH PYTHONUNBUFFERED=1
# Of whatever SERVICE_TYPE names. Each look takes a connection to the database for a moment, so it is taken rarely.
HEALTHCHECK --interval=60s --timeout=20s --start-period=40s --retries=3 CMD ["fixionmail", "health"]
STOPSIGNAL SIGTERM
# Exec form: the process itself gets SIGTERM, and stops warmly. What runs is the command, or SERVICE_TYPE.
ENTRYPOINT ["fixionmail"]
CMD ["run"]
