# `llava serve` at port 8000; any other command in its place. From this checkout:
#
#   docker build -t llava .
#   docker run -p 8000:8000 -v llava-models:/models llava
#   docker run --no-healthcheck -v llava-models:/models llava worker --queue redis://10.0.0.5

FROM node:20.20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What the packages bring is built already.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-page.mjs scripts/
COPY src src
COPY cli cli
COPY server server
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:20.20-bookworm-slim
ENV NODE_ENV=production HF_HOME=/models
WORKDIR /app
COPY package.json LICENSE NOTICE ./
COPY checkpoints checkpoints
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN mkdir /models && chown node:node /models
# Downloaded models are kept here.
VOLUME /models
USER node
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["serve", "--host", "0.0.0.0"]
