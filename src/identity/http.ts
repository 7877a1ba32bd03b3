import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { CampaignSnapshot } from '../campaign/snapshot.ts';
import type { UpstreamCredential } from '../engines/ports.ts';
import { bearerOf } from '../guard/secrets.ts';
import { isUserName } from '../guard/sessions.ts';
import { problemResponses, sendProblemOf } from '../protocol/http.ts';
import { parsePhone } from '../rules/phone.ts';
import type { People } from './people.ts';

export interface IdentityRouteDeps {
  readonly people: Pick<People, 'bindPhone'>;
  readonly credentialOf: (secret: string | undefined) => Promise<UpstreamCredential | undefined>;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
}

/** POST /v1/identities/phone: an app's backend says which phone number a user has, verified. */
export const identityRoutes: FastifyPluginAsyncTypebox<IdentityRouteDeps> = async (app, deps) => {
  app.post(
    '/v1/identities/phone',
    {
      schema: {
        summary:
          'Bind a verified phone number to a user (services upstream): who has the same number in another app is the same person from now on. Joining can’t be undone',
        body: Type.Object(
          {
            campaignId: Type.String({ maxLength: 64 }),
            app: Type.String({ maxLength: 64, description: 'The app’s name in the campaign' }),
            user: Type.String({ maxLength: 128 }),
            phone: Type.String({ maxLength: 64, description: 'With country code: +8613800138000 (E.164)' }),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            outcome: Type.Enum(['known', 'bound', 'replaced', 'joined'], {
              description:
                'known: it was so already. replaced: the user’s person had another number, which is free now. joined: two persons became one',
            }),
          }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const credential = await deps.credentialOf(bearerOf(request.headers.authorization));
      if (!credential)
        return sendProblemOf(reply, 'credential-invalid', 'send Authorization: Bearer <upstream secret>');
      const { campaignId, app: appName, user, phone } = request.body;
      const campaign = deps.campaign(campaignId);
      if (!campaign) return sendProblemOf(reply, 'campaign-unknown', 'no campaign of this id is in force');
      if (credential.campaignId !== campaign.id)
        return sendProblemOf(reply, 'forbidden', 'this credential is for another campaign');
      const appOf = [...campaign.apps.values()].find((one) => one.name === appName);
      if (!appOf || !isUserName(user))
        return sendProblemOf(
          reply,
          'malformed',
          'app is one of the campaign’s, user is 1 to 128 visible characters',
        );
      const number = parsePhone(phone);
      if (!number)
        return sendProblemOf(
          reply,
          'malformed',
          'phone has a plus sign, a country code and 7 to 15 digits (E.164)',
        );
      const { outcome } = await deps.people.bindPhone(appOf.id, user, number);
      if (outcome === 'of-another' || outcome === 'kept')
        return sendProblemOf(
          reply,
          'phone-of-another',
          'both have a number of their own already, and merging can’t be undone: nothing was changed',
        );
      return { outcome };
    },
  );
};
