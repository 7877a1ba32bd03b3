# One image for every role: `docker run … hongbao serve --role gateway`. The embedded Postgres is left out; a cluster
# brings its own (compose.yaml, deploy/kubernetes).
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN node tools/build.mjs

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
# The bundle holds every package that it needs.
COPY package.json ./
COPY bin ./bin
COPY examples ./examples
COPY proto ./proto
COPY schema ./schema
COPY LICENSE README.md ./
COPY --from=build /app/dist ./dist
# Folders that volumes cover take over their owner from here.
RUN mkdir -p /data /keys && chown 10001:10001 /data /keys
USER 10001:10001
ENV HONGBAO_DATA=/data HONGBAO_KEYS=/keys HONGBAO_HOST=0.0.0.0 HONGBAO_OPS_HOST=0.0.0.0 HONGBAO_PORT=8080 HONGBAO_OPS_PORT=8081
EXPOSE 8080 8081
# SIGTERM drains: not ready, phones sent elsewhere, micro-batches flushed, slices given back.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "bin/hongbao.mjs"]
CMD ["serve"]
